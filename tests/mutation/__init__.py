"""Are the tests any good? mutmut changes judges and evidence, one change at a time; tests that are
any good fail then (docs/evidence.md).

All mutants are too many for a small machine. A sample is drawn over all of them, by a seed, and
each of it is run against the tests that reach the function that it changes:

    python -m tests.mutation --sample 400 --minutes 10     # again, until all of the sample is run
    python -m tests.mutation --tell                        # what is known by now
"""
