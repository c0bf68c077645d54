//! The web against a real control on a real PostgreSQL.

mod api;
mod approvals;
mod audit;
mod browser;
mod console;
mod console_people;
mod console_work;
mod contract;
mod internal;
mod limits;
mod live;
mod members;
mod metrics;
mod openapi;
mod refusals;
mod schedules;
mod site;

#[path = "../../../database/tests/it/scratch.rs"]
#[allow(dead_code)]
mod scratch;
