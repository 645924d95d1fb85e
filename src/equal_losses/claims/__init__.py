"""The claims of papers, the rules that decide them, and the ledger of verdicts. Nothing here reads files."""
