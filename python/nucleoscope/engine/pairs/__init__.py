"""What two edits of a sequence do beyond their sum: where they meet, and that alone carried on."""
