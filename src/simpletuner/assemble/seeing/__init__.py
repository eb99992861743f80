"""From options to what shows a run's learning: pictures and evaluation losses."""
