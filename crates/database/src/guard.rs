use std::fmt::Display;
use std::str::FromStr;

use model::cluster::ClusterState;
use model::peek::PeekState;
use model::project::BuildState;
use model::restore::RestoreState;
use model::snapshot::SnapshotState;
use model::state::UnknownVariant;
use model::tenant::TenantState;

use crate::Result;
use crate::query::{Columns, Read};

/// What a guarded update found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarded<S> {
    /// There is no such row.
    Missing,
    /// There is, in a state that the change does not start from; nothing was changed.
    Found(S),
    /// It was changed.
    Moved,
}

impl<S> Guarded<S> {
    pub fn moved(&self) -> bool {
        matches!(self, Self::Moved)
    }
}

/// A state that rows are in.
pub trait State: Copy + PartialEq + Display + FromStr<Err = UnknownVariant> + 'static {
    fn all() -> &'static [Self];
    fn as_str(self) -> &'static str;
    fn may_become(self, next: Self) -> bool;
}

macro_rules! states {
    ($($state:ty)*) => {$(
        impl State for $state {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn as_str(self) -> &'static str {
                self.as_str()
            }

            fn may_become(self, next: Self) -> bool {
                self.may_become(next)
            }
        }
    )*};
}

states! { BuildState ClusterState PeekState RestoreState SnapshotState TenantState }

/// The states that may become `next`: what a guarded update starts from when
/// nothing narrower is asked for.
pub fn sources<S: State>(next: S) -> Vec<S> {
    S::all().iter().copied().filter(|state| state.may_become(next)).collect()
}

pub(crate) fn written<S: State>(states: &[S]) -> Vec<&'static str> {
    states.iter().map(|state| state.as_str()).collect()
}

/// A guarded update's one row: the state that was found, and whether it moved.
pub(crate) struct Seen<S> {
    state: S,
    moved: bool,
}

impl<S: State> Read for Seen<S> {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        Ok(Self { state: columns.written("state")?, moved: columns.get("moved")? })
    }
}

impl<S> From<Option<Seen<S>>> for Guarded<S> {
    fn from(seen: Option<Seen<S>>) -> Self {
        match seen {
            None => Self::Missing,
            Some(Seen { moved: true, .. }) => Self::Moved,
            Some(Seen { state, .. }) => Self::Found(state),
        }
    }
}
