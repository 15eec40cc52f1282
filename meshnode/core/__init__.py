"""What is decided: the write round, the participant, records, repair. Pure: no I/O, clock or randomness."""
