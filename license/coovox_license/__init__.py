"""coovox-license: turns the source file of a CooVox Billing device into a license."""

__version__ = "0.1.0"
