"""A generator of faces with looks that nobody wears: StyleGAN2 on a small scale.

After Karras et al. 2020 ("Analyzing and improving the image quality of StyleGAN"), with DiffAugment
(Zhao et al. 2020), which makes few faces go further.
"""
