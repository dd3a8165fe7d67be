"""Orders from files: CSV and Excel, as shops, carriers and PlayAuto export them."""
