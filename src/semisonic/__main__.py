"""``python -m semisonic`` is the command ``semisonic``."""

from semisonic.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
