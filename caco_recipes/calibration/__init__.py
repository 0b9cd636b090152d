"""How often a judge is wrong: labelled pairs (right rows and near misses of them), judged, counted, with intervals.

pairs.py          rows of a run or a file, executed; the labelled pairs
near_misses.py    one wrong pair of each kind per row: what is changed, and how it is known to be wrong
program_edits.py  changed constants and operators of programs, found inside the sandbox
judging.py        pairs -> what each judge said
rates.py          false accepts and false rejects, thresholds
tables.py         the tables, calibration.json, the card's section
"""
