"""What the suite's own work costs, beside what people would do it with: ratios, by one command.

``python -m conformance.measures RUN`` measures on the evidence of a run that is there: the leak
judge beside tshark and beside scapy's full dissection, the judging of a bundle, the report of eight
versions. No cluster is needed. Figures are processor seconds, which say the same on a busy machine,
and each is taken in a process of its own, whose start is subtracted.
"""
