"""What an upgrade's injector would make of the workloads that exist, asked by dry runs alone."""
