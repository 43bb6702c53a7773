"""Programs that use Ordergate; they are tested and not installed."""
