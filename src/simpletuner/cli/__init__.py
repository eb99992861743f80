"""The command line: it parses words, calls, and turns errors into exit codes."""
