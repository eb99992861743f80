"""Where pictures come from: one module a kind of place, all behind `base.Source`."""
