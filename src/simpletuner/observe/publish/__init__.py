"""What leaves this machine when a run is done."""
