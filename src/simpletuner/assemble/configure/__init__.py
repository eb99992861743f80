"""`simpletuner configure`: from answers to files. Deciding, looking and asking are apart. No torch here."""
