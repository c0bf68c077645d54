//! Against real PostgreSQL. As root, clusters run as users without a name, as
//! tenants' cells do.

mod copies;
mod logins;
mod management;
mod peeks;
mod recovery;
mod settings;
mod support;
