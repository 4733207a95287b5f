"""The serving process: answers prices with the release that the channel names, and follows it without a restart."""
