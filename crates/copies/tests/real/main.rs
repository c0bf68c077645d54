//! Copies between real databases: PostgreSQL, and the Odoo named by
//! HEDDLE_TEST_ODOO on it.

mod odoo;
mod scratch;
mod small;
