//! `doconv info`.

use crate::command::doconv;

#[test]
fn the_bundled_network_has_the_published_size() {
    let json = doconv(&["info", "--json"]).success().json();
    assert_eq!(json["name"], "efficientnet_lite0");
    assert_eq!((&json["dtype"], &json["state"]), (&"F16".into(), &"folded".into()));
    assert_eq!(json["classes"], 1000);
    assert_eq!(json["inputs"][0]["shape"], serde_json::json!([1, 3, 224, 224]));
    assert_eq!(json["outputs"][0]["shape"], serde_json::json!([1, 1000, 1, 1]));
    let total = |figure: &str| json["totals"][figure].as_f64().unwrap() / 1e6;
    assert!((4.6..4.7).contains(&total("parameters")), "{}", json["totals"]);
    assert!((384.0..386.0).contains(&total("macs_folded")), "{}", json["totals"]);
    assert!(total("macs_kernel") > total("macs_folded") && total("macs_feature") > total("macs_folded"));
    let layers = json["layers"].as_array().unwrap();
    let sum: u64 = layers.iter().map(|layer| layer["macs_folded"].as_u64().unwrap()).sum();
    assert_eq!(json["totals"]["macs_folded"], sum);
    let marked = layers.iter().filter(|layer| layer["doconv"] == true).count();
    assert_eq!(json["doconv_layers"], marked);
    assert!(marked > 10);
}

#[test]
fn people_see_a_table() {
    let text = doconv(&["info"]).success().stdout;
    let head = text.lines().find(|line| line.starts_with("layer ")).unwrap();
    let total = text.lines().find(|line| line.starts_with("total ")).unwrap();
    assert_eq!(head.chars().count(), total.chars().count(), "{text}");
    assert!(text.contains("_conv_stem"), "{text}");
}
