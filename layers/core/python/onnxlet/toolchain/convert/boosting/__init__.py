"""Gradient boosting: XGBoost, LightGBM and CatBoost, written as forests with each library's own arithmetic."""
