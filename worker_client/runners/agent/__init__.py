"""Coding agents as runners: one small module per command line, behind one protocol."""
