"""The settings in force, and the doctor that checks them."""
