//! What the test suites share: random problems, a comparator, and things that run models.
#![allow(dead_code, reason = "every suite uses its own part of this module")]

pub mod adapters;
pub mod compare;
pub mod graph;
pub mod parallel;
pub mod plan_interpreter;
pub mod problem;
pub mod problems;
pub mod runners;
pub mod suite;
pub mod training_fixtures;
