"""Finished trials → what a person reads of them: tables, intervals, plots, pages."""
