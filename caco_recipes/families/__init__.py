"""What a program's inputs may be, how they are changed, and how a problem tells them: one place for stages and rewards.

values        tagged values: numbers in them, changes in place, as Python source
source_facts  what a program does with each input, read from its source inside the sandbox
domains       what each input may be: types, signs, ranges, lengths, structure, relations
mutation      other inputs in those domains: near ones, single keys, wide moves
determinism   the same program in fresh processes with another hash seed, RNG seed and clock
quantities    the quantities in a problem's text, in every notation
faithfulness  whether the problem tells each input value
filling       a problem as a template of its quantities
blind         a program that a model wrote from the problem alone, against ours
kinds         whether one output could stand where another one stands
split         train or test, by family
"""
