"""What `scripts.soak.guard` is made of: treasuries under kills, strangers and attacks, and the audit."""
