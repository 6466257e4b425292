"""The same problems asked in several ways: accuracy by way, by kind, and by tokens to think."""
