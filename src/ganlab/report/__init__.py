"""What several runs say together: statistics over training seeds, tables, plots and the report."""
