"""What the pages share: from a run's file to the screen."""
