"""`python -m coovox_billing`: the same as the command `coovox-billing`."""

from coovox_billing.cli.main import main

raise SystemExit(main())
