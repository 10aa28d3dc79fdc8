"""`orchestrator apply`: what files say that there is, made so."""
