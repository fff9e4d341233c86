"""classifier/export"""
