"""``python -m semisonic`` is the command ``semisonic``."""

from semisonic.apps.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
