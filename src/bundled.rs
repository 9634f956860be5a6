//! The networks that come with the crate.

use crate::{Model, Result};

/// A network that comes with the crate, in the feature `bundled-model`. `models/README.md` says where their weights are from.
///
/// ```
/// use doconv::Bundled;
/// let network = Bundled::Cifar10.model()?;
/// assert!(network.is_composed());
/// assert_eq!(network.network().labels[3], "cat");
/// # Ok::<(), doconv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bundled {
    /// EfficientNet-Lite0 for the 1000 classes of ImageNet, folded: what is meant where no network is named.
    ImageNet,
    /// ResNet-20 for the ten classes of CIFAR-10, 32×32 pixels, with W and D: trained by this crate.
    Cifar10,
}

impl Bundled {
    /// Every network there is.
    pub const ALL: [Bundled; 2] = [Bundled::ImageNet, Bundled::Cifar10];

    /// What commands call it.
    pub fn name(self) -> &'static str {
        match self {
            Bundled::ImageNet => "imagenet",
            Bundled::Cifar10 => "cifar10",
        }
    }

    /// The network that commands call so; `bundled` is the usual one.
    pub fn named(name: &str) -> Option<Self> {
        let usual = Some(Bundled::ImageNet).filter(|_| name == "bundled");
        usual.or_else(|| Self::ALL.into_iter().find(|bundled| bundled.name() == name))
    }

    /// Its model file, as it is.
    pub fn bytes(self) -> &'static [u8] {
        macro_rules! file {
            ($name:literal) => {
                include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/", $name, ".safetensors"))
            };
        }
        match self {
            Bundled::ImageNet => file!("efficientnet-lite0-doconv"),
            Bundled::Cifar10 => file!("resnet20-cifar10-doconv"),
        }
    }

    /// The network with its weights.
    ///
    /// # Errors
    /// [`Error::ModelFile`](crate::Error::ModelFile) and the like only if the crate was built with a damaged file.
    pub fn model(self) -> Result<Model> {
        Model::from_bytes(&format!("the bundled model `{}`", self.name()), self.bytes())
    }
}

impl Model {
    /// The ImageNet classifier that comes with the crate, [`Bundled::ImageNet`]: EfficientNet-Lite0, folded, with labels.
    ///
    /// # Errors
    /// None, unless the crate was built with a damaged file.
    pub fn bundled() -> Result<Self> {
        Bundled::ImageNet.model()
    }
}
