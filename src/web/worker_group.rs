//! Threads of the CPU path: further instances of the module in web workers, which run the same network. `threads.js` starts
//! them and exchanges their data; [`Helper`] runs in each.

use std::ops::Range;

use js_sys::{Float32Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::options::LoadOptions;
use super::{error, model, options};
use crate::cpu::{Executor, WorkerGroup};
use crate::plan::Plan;
use crate::{Mode, Model, Result, Session};

#[wasm_bindgen(raw_module = "./threads.js")]
extern "C" {
    /// An instance's place in a team.
    #[derive(Clone)]
    pub type Team;

    #[wasm_bindgen(static_method_of = Team)]
    async fn gather(module: JsValue, wanted: Option<u32>) -> JsValue;

    #[wasm_bindgen(method)]
    fn load(this: &Team, model: &JsValue, options: &JsValue) -> Promise;

    #[wasm_bindgen(method, getter)]
    fn members(this: &Team) -> usize;

    #[wasm_bindgen(method, getter)]
    fn index(this: &Team) -> usize;

    #[wasm_bindgen(method)]
    fn begin(this: &Team, mode: u32, batch: usize, input: &[f32]) -> bool;

    #[wasm_bindgen(method)]
    fn next(this: &Team) -> Option<Float32Array>;

    #[wasm_bindgen(method)]
    fn exchange(this: &Team, map: &mut [f32], start: usize, end: usize) -> bool;

    #[wasm_bindgen(method)]
    fn end(this: &Team);
}

/// A team as the instance that gathered it has it; without it there is none.
pub(super) struct Leader(Team);

impl Drop for Leader {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Leader {
    /// Starts other threads, where there can be any.
    pub(super) async fn gather(wanted: Option<u32>) -> Option<Self> {
        let team = Team::gather(wasm_bindgen::module(), wanted).await;
        (!team.is_undefined()).then(|| Self(team.unchecked_into()))
    }

    /// Begins to give all of them the network.
    pub(super) fn load(&self, model: &JsValue, options: &JsValue) -> Promise {
        self.0.load(model, options)
    }

    /// This one, once all have it.
    pub(super) async fn ready(self, loading: Promise) -> Option<Self> {
        JsFuture::from(loading).await.is_ok_and(|all| all.is_truthy()).then_some(self)
    }

    /// How many threads share the work: one if any was lost.
    pub(super) fn threads(&self) -> usize {
        self.0.members()
    }

    /// Lets the others make a mode ready.
    pub(super) fn prepare(&self, mode: Mode) {
        self.0.begin(mode as u32, 0, &[]);
    }

    /// The others help with a session from now on.
    pub(super) fn help(&self, session: &mut Session, mode: Mode) {
        session.join(Member::new(&self.0, mode));
    }
}

/// An instance in one mode.
struct Member {
    team: Team,
    members: usize,
    index: usize,
    mode: Mode,
}

impl Member {
    fn new(team: &Team, mode: Mode) -> Self {
        Self { team: team.clone(), members: team.members(), index: team.index(), mode }
    }
}

impl WorkerGroup for Member {
    fn members(&self) -> usize {
        self.members
    }

    fn index(&self) -> usize {
        self.index
    }

    fn begin(&self, batch: usize, inputs: &[&[f32]]) -> bool {
        match inputs {
            _ if self.index > 0 => true,
            [input] => self.team.begin(self.mode as u32, batch, input),
            _ => false,
        }
    }

    fn exchange(&self, map: &mut [f32], own: Range<usize>) -> bool {
        self.team.exchange(map, own.start, own.end)
    }
}

/// The network of a thread besides the first: for `helper.js`, not for pages.
#[wasm_bindgen]
pub struct Helper {
    model: Model,
    team: Team,
    executors: [Option<Executor>; 3],
}

#[wasm_bindgen]
impl Helper {
    /// Reads the same model file with the same options as the first thread, and makes the same mode ready.
    ///
    /// # Errors
    /// Those of `Classifier.load`.
    pub async fn load(model: JsValue, options: JsValue, team: Team) -> Result<Helper, JsValue> {
        let options: LoadOptions = options::read(options).map_err(error)?;
        let file = model::take(&model, &options).await.map_err(error)?;
        let model = model::open(file, &options).map_err(error)?.model;
        let mut helper = Self { model, team, executors: [None, None, None] };
        helper.executor(options.mode).map_err(error)?;
        Ok(helper)
    }

    /// Does what the first thread does, until there is no team any more.
    ///
    /// # Errors
    /// Where this one cannot go on.
    pub fn work(&mut self) -> Result<(), JsValue> {
        while let Some(job) = self.team.next() {
            self.run(&job.to_vec()).map_err(error)?;
        }
        Ok(())
    }

    fn run(&mut self, job: &[f32]) -> Result<()> {
        let &[mode, batch, _, ref input @ ..] = job else { return Ok(()) };
        let executor = self.executor(Mode::ALL[mode as usize])?;
        if batch > 0.0 {
            executor.run(batch as usize, &[input])?;
        }
        Ok(())
    }

    fn executor(&mut self, mode: Mode) -> Result<&mut Executor> {
        match &mut self.executors[mode as usize] {
            Some(executor) => Ok(executor),
            place => {
                let mut executor = Executor::new(&Plan::new(&self.model, mode)?)?;
                executor.join(Member::new(&self.team, mode));
                Ok(place.insert(executor))
            }
        }
    }
}
