"""Methods that differentiate the model, and what they share.

Methods: `saliency`, `input_x_gradient`, `integrated_gradients`, `expected_gradients`, `smooth_grad`,
`deep_lift_shap`, and `plan_gradients`, which tells what they will do. All go through `differentiating`; those that
ask at the sequence itself through `at_points`, those with `baselines` through `along_paths`.
"""
