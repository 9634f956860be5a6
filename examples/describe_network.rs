//! A network described by hand, with random weights: `cargo run --example describe_network`.

use doconv::network::{Activation, Conv2d, DoConv, FORMAT_VERSION, Input, Linear, Network, Node, Op, Pairing};
use doconv::{Adapter, Mode, Model, Result, Tensor, Weights, blocking};

fn main() -> Result<()> {
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let conv = Conv2d { padding: [1; 4], doconv, ..Conv2d::new(3, 8, [3, 3]) };
    let network = Network {
        version: FORMAT_VERSION,
        name: "by_hand".into(),
        inputs: vec![Input::new("image", [3, 32, 32])],
        nodes: vec![
            node("conv", "image", Op::Conv2d(conv)),
            node("relu", "conv", Op::Activation(Activation::Relu)),
            node("pool", "relu", Op::GlobalAvgPool),
            node("fc", "pool", Op::Linear(Linear { in_features: 8, out_features: 4, bias: true })),
        ],
        outputs: vec!["fc".into()],
        preprocess: None,
        labels: vec![],
    };
    let cost = network.cost()?;
    println!("{} parameters, {} MACs", cost.total(|layer| layer.parameters), cost.total(|layer| layer.macs_folded));

    // Parameters go by the names that PyTorch gives them; W is [out, in/groups, d_mul], D is [in, taps, d_mul].
    let mut random = oorandom::Rand32::new(1);
    let mut tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| random.rand_float() - 0.5).collect();
        Tensor::new(shape, values)
    };
    let weights = Weights::from([
        ("conv.W".into(), tensor(&[8, 3, 9])?),
        ("conv.D".into(), tensor(&[3, 9, 9])?),
        ("fc.weight".into(), tensor(&[4, 8])?),
        ("fc.bias".into(), tensor(&[4])?),
    ]);
    let input = tensor(&[1, 3, 32, 32])?;

    let model = Model::new(network, weights)?;
    for mode in Mode::ALL {
        let mut session = blocking::Session::load(&Adapter::cpu(), &model, mode)?;
        let logits = session.run(std::slice::from_ref(&input))?;
        println!("{:>8}: {:.5?}", mode.name(), logits[0].data());
    }
    Ok(())
}

fn node(name: &str, input: &str, op: Op) -> Node {
    Node { name: name.into(), inputs: vec![input.into()], op }
}
