"""The step, the loop around it, and the state that lets a run go on as if it had never stopped."""
