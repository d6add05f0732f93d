"""Drop-ins: functions of other packages, with their signatures and numbers, run by our engine."""
