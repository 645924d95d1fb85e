"""The neutral part: it logs, locks, leases, writes and checks, and decides nothing that is computed.

No file of this package counts for a key (see `equal_losses.study.fingerprints`).
"""
