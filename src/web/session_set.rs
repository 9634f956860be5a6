//! One model in up to three modes on one adapter, which may be lost and opened again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use js_sys::Function;
use web_time::Instant;

use super::options::{AdapterChoice, TuneChoice};
use super::tuning;
use super::worker_group::Leader;
use crate::adapter::cpu_driver;
use crate::{Adapter, AdapterInfo, Error, LoadTimes, Mode, Model, Result, Session};

/// What is true of the sessions now; it can be read while they are busy.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) adapter: AdapterInfo,
    /// How often a lost device was replaced.
    pub(super) rebuilds: u32,
    /// How long opening the adapter took.
    pub(super) open: Duration,
    /// What loading the last mode took.
    pub(super) times: LoadTimes,
}

/// What adapter is wanted, with which kernels.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) adapter: AdapterChoice,
    pub(super) tune: TuneChoice,
    /// Who is told how tuning goes on.
    pub(super) listener: Option<Function>,
}

/// The sessions of a model: a mode is loaded when it is first wanted.
pub(super) struct SessionSet {
    model: Rc<Model>,
    wanted: Wanted,
    adapter: Adapter,
    sessions: [Option<Session>; 3],
    facts: Rc<RefCell<Facts>>,
    /// Other threads, on the CPU path.
    leader: Option<Leader>,
}

impl SessionSet {
    /// On an adapter that took so long to open.
    pub(super) fn new(model: Rc<Model>, wanted: Wanted, (adapter, open): (Adapter, Duration)) -> Self {
        let facts = Facts { adapter: adapter.info().clone(), rebuilds: 0, open, times: LoadTimes::default() };
        let (sessions, facts) = ([None, None, None], Rc::new(RefCell::new(facts)));
        Self { model, wanted, adapter, sessions, facts, leader: None }
    }

    /// Lets other threads help from now on.
    pub(super) fn share(&mut self, leader: Leader) {
        for (mode, session) in Mode::ALL.into_iter().zip(&mut self.sessions) {
            if let Some(session) = session {
                leader.help(session, mode);
            }
        }
        self.tell_threads(&leader);
        self.leader = Some(leader);
    }

    fn tell_threads(&self, leader: &Leader) {
        self.facts.borrow_mut().adapter.driver = cpu_driver(leader.threads());
    }

    pub(super) fn facts(&self) -> Rc<RefCell<Facts>> {
        self.facts.clone()
    }

    /// Does something with the session of a mode. If the device goes meanwhile, it is opened anew and the thing is done
    /// once more.
    pub(super) async fn with<T>(
        &mut self,
        mode: Mode,
        mut action: impl AsyncFnMut(&mut Session) -> Result<T>,
    ) -> Result<T> {
        let result = match self.attempt(mode, &mut action).await {
            Err(Error::DeviceLost { .. }) => {
                self.rebuild().await?;
                self.attempt(mode, &mut action).await
            }
            other => other,
        };
        // One that was lost leaves one thread.
        if let Some(leader) = self.leader.take_if(|leader| leader.threads() == 1) {
            self.tell_threads(&leader);
        }
        result
    }

    async fn attempt<T>(&mut self, mode: Mode, action: &mut impl AsyncFnMut(&mut Session) -> Result<T>) -> Result<T> {
        let place = &mut self.sessions[mode as usize];
        let session = match place {
            Some(session) => session,
            None => {
                if let Some(leader) = &self.leader {
                    leader.prepare(mode);
                }
                let mut session = Session::load(&self.adapter, &self.model, mode).await?;
                session.prepare(1).await?;
                if let Some(leader) = &self.leader {
                    leader.help(&mut session, mode);
                }
                self.facts.borrow_mut().times = session.load_times();
                place.insert(session)
            }
        };
        action(session).await
    }

    async fn rebuild(&mut self) -> Result<()> {
        self.sessions = [None, None, None];
        // A browser that has taken the GPU away for good must not take the page along.
        let start = Instant::now();
        self.adapter = match open_adapter(&self.wanted).await {
            Ok(adapter) => adapter,
            Err(_) => Adapter::cpu(),
        };
        let mut facts = self.facts.borrow_mut();
        facts.adapter = self.adapter.info().clone();
        facts.open = start.elapsed();
        facts.rebuilds += 1;
        Ok(())
    }
}

pub(super) async fn open_adapter(wanted: &Wanted) -> Result<Adapter> {
    let adapter = Adapter::open(&wanted.adapter.selector()).await?;
    if wanted.adapter == AdapterChoice::Webgpu && adapter.gpu().is_none() {
        return Err(Error::Unsupported("this browser offers no WebGPU adapter; use `cpu`".into()));
    }
    Ok(tuning::equipped(adapter, wanted.tune, wanted.listener.as_ref()).await)
}
