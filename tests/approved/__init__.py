"""What tests were answered, word by word, as it was last approved.

Sentences are read, figures are compared between runs, and evidence is looked up by hand: none of
them changes by accident. Each test of tests/judges and tests/evidence is held against the answers
that stand of it in a file here, named after its own. Where a change is meant:

    python -m tests.approved                                  # all of them, some minutes
    python -m tests.approved tests/judges/stop/test_order.py  # or some
    git diff tests/approved                                   # and read what it says now

An approved answer is no proof that it is right: that is what each test's own assertions are for.
"""
