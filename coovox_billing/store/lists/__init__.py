"""What pages list: one module per list, each with its query (how many, totals, some rows, all rows)."""
