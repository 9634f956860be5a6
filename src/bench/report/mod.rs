//! Records side by side: as a page, and before and after a change.
//!
//! [`read`] takes records of any origin, [`html`] makes one page of them, [`compare`] says what changed between two.
//! `adapters.rs` says which records may be compared with which, `ranking.rs` who is fastest, `roofline.rs` how far from
//! what the adapter can do; `page/` only puts that into words and positions for the templates.
//!
//! **Why a template and no plotting library.** The one that is in wide use, `plotters`, had its last release in
//! September 2024, and draws an SVG for one width, with its colours and the sizes of its letters inside: on a phone letters
//! shrink with the picture, and the dark scheme cannot change them. What is drawn here are straight lines, bars and points.
//! Their places are percentages, so a bar is a cell of a table that a screen reader can read, and letters stay as large
//! as the reader wants them.

mod adapters;
mod compare;
mod number_format;
mod page;
mod ranking;
mod read;
mod roofline;

pub use adapters::describe;
pub use compare::{BAND, Comparison, Pair, Side, Subject, Verdict, compare};
pub use number_format::{date, digits};
pub use page::html;
pub use read::{Adapter, Case, Check, Environment, Figures, Kind, ORIGIN, Outcome, Recorded, Source, read};

#[cfg(test)]
mod fixtures;
