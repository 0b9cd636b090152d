"""Fork servers that die whenever they run certain programs: a real kill, at the moment that hurts."""


def servers_die(pool, monkeypatch, mark):
    """From now on a server of the pool dies whenever it runs a program with `mark` in it."""
    hear = type(pool._coordinator).hear

    def kill_first(self, worker):
        if any(mark in job.source for job in worker.jobs.values()):
            worker.process.kill()
            worker.process.wait()
            self.lost(worker)
        else:
            hear(self, worker)

    monkeypatch.setattr(type(pool._coordinator), "hear", kill_first)
