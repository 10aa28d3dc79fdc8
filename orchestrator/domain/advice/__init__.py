"""What experience says about tasks that fail and about the whole, by rules: facts in, advice with its evidence out."""
