"""RLHF: a policy learns from a learned reward, held near its reference so that the truth gains, too."""
