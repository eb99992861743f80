"""From options to an engine that trains, and to a folder that a later run goes on from."""
