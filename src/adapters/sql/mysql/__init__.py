"""MariaDB and MySQL over asyncmy."""
