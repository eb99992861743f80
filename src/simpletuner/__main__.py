"""`python -m simpletuner` is `simpletuner`."""

from __future__ import annotations

from simpletuner.cli.main import main

if __name__ == "__main__":
    main()
