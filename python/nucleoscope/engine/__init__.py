"""The edit engine: trace -> plan -> run -> reduce. An edit is a ripple; only the ripple is computed."""
